// The page to look at first: what runs, what fails, what waits.
param location string
param tags object
param workspaceId string
param namespaceId string

resource workbook 'Microsoft.Insights/workbooks@2023-06-01' = {
  name: guid(resourceGroup().id, 'longhaul-workbook')
  location: location
  tags: tags
  kind: 'shared'
  properties: {
    displayName: 'Longhaul'
    category: 'workbook'
    version: 'Notebook/1.0'
    sourceId: workspaceId
    serializedData: replace(loadTextContent('workbook.json'), '{{namespaceId}}', namespaceId)
  }
}
